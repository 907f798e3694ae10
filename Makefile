# omendb. `make help` lists the targets.
CC         ?= cc
AR         ?= ar
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
DESTDIR    ?=
CFLAGS     ?= -O2 -g
FLAVOUR    ?= release
BUILD      ?= build/$(FLAVOUR)
VERSION    := 0.1.0
SOMAJOR    := 0

WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual
ifeq ($(WERROR),1)
WARN += -Werror
endif
ifneq (,$(findstring clang,$(CC)))
WARN += -Wthread-safety
endif
# Against what a bug might be used for; a sanitizer finds the bug itself.
ifeq ($(SAN),)
HARDEN    := -fstack-protector-strong $(if $(filter -O%,$(filter-out -O0,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARDEN_LD := -Wl,-z,relro,-z,now,-z,noexecstack
endif
ALL_CFLAGS  = -std=c17 -D_GNU_SOURCE -I. $(WARN) -fno-strict-aliasing -ffp-contract=off \
              -fvisibility=hidden -fPIC -pthread $(HARDEN) $(CFLAGS) $(SAN) $(DEFINES)
ALL_LDFLAGS = -pthread -pie $(HARDEN_LD) $(LDFLAGS) $(SAN)
LIBS        = -luring -lzstd -lxxhash -lnuma -lm

.PHONY: all lib tools
all: lib tools
lib: $(BUILD)/libomendb.a $(BUILD)/libomendb.so
tools: $(BUILD)/omendb $(BUILD)/db_bench

# ---- the library: one archive a folder, so that includes and links point down only ---------------
FOLDERS := lsm compaction learned memtier io
src  = $(wildcard $(1)/*.c) $(if $(filter io,$(1)),$(wildcard io/base/*.c))
objs = $(patsubst %.c,$(BUILD)/%.o,$(call src,$(1)))
LIB_OBJS := $(foreach f,$(FOLDERS),$(call objs,$(f)))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

define archive
$(BUILD)/libomi_$(1).a: $(call objs,$(1))
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive,$(f))))

$(BUILD)/libomendb.a: $(LIB_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/libomendb.so.$(VERSION): $(LIB_OBJS) lsm/libomendb.map
	$(CC) -shared -Wl,-soname,libomendb.so.$(SOMAJOR) -Wl,--version-script,lsm/libomendb.map \
	    $(filter-out -pie,$(ALL_LDFLAGS)) -o $@ $(filter %.o,$^) $(LIBS)
$(BUILD)/libomendb.so: $(BUILD)/libomendb.so.$(VERSION)
	ln -sf libomendb.so.$(VERSION) $(BUILD)/libomendb.so.$(SOMAJOR)
	ln -sf libomendb.so.$(VERSION) $@

# ---- the tool ------------------------------------------------------------------------------------
TOOL_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/*.c))
$(BUILD)/omendb: $(TOOL_OBJS) $(BUILD)/libomendb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lm
$(BUILD)/db_bench: $(BUILD)/omendb
	ln -sf omendb $@

# ---- unit tests: each links its folder's archive and those below it ---------------------------------
below_lsm        := lsm compaction learned memtier io
below_compaction := compaction learned io
below_learned    := learned io
below_memtier    := memtier io
below_io         := io
UNIT_SRC   := $(wildcard tests/unit/*/test_*.c)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
define unit_rule
$(BUILD)/unit/$(1)/test_%: $(BUILD)/tests/unit/$(1)/test_%.o $(foreach f,$(below_$(1)),$(BUILD)/libomi_$(f).a)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ -lcriterion $$(LIBS) -lm
endef
$(foreach f,$(FOLDERS),$(eval $(call unit_rule,$(f))))
# Of the tool: all of it but its main.
$(BUILD)/unit/tools/test_%: $(BUILD)/tests/unit/tools/test_%.o $(filter-out $(BUILD)/tools/omendb.o,$(TOOL_OBJS)) $(BUILD)/libomendb.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcriterion $(LIBS) -lm
.SECONDARY:
# These two stand between the engine and the system (tests/unit/io/posix_wrap.h).
WRAPPED := pread pwrite fallocate openat fdatasync fsync
$(BUILD)/unit/io/test_posix_short $(BUILD)/unit/lsm/test_failed_sync: ALL_LDFLAGS += $(WRAPPED:%=-Wl,--wrap=%)

# ---- test programs and micro-benchmarks ------------------------------------------------------------
comma := ,
PROGRAMS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(filter-out tests/model.c tests/filter_mix.c tests/script%.c,$(wildcard tests/*.c)))
SCRIPT_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/script*.c))
$(BUILD)/tests/fail_io: $(SCRIPT_OBJS)
$(BUILD)/tests/fail_alloc: $(SCRIPT_OBJS)
$(BUILD)/tests/fail_alloc: ALL_LDFLAGS += $(foreach f,malloc calloc realloc aligned_alloc strdup strndup free mmap,-Wl$(comma)--wrap=$(f))
$(BUILD)/tests/crash_scripts: $(SCRIPT_OBJS)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/tests/model.o $(BUILD)/tests/filter_mix.o $(BUILD)/tools/keyset.o $(BUILD)/libomendb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(BUILD)/libomendb.a $(LIBS) -lm
# ---- programs for a virtual machine with far memory (tests/guest/run.sh) -----------------------------
GUEST_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/guest/guest_*.c))
GUEST_PROGRAMS := $(filter-out $(BUILD)/tests/guest/guest_tier_lost,$(GUEST_PROGRAMS))
$(BUILD)/tests/guest/guest_tier: $(BUILD)/tests/guest/guest_tier_lost.o
.PHONY: guest-programs guest-check
guest-programs: $(GUEST_PROGRAMS)
guest-check: guest-programs
	tests/guest/check.sh $(BUILD)

$(BUILD)/bench/tier_bench: $(BUILD)/bench/tier_plot.o $(BUILD)/bench/tier_table.o
.PHONY: bench-tier
bench-tier: $(BUILD)/bench/tier_bench
	bench/tier.sh $(BUILD)
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/tests/model.o $(BUILD)/libomendb.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lm

# ---- fuzzing: the targets with a fuzzer (make fuzz, clang), or with replay.c in every flavour ----
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SHARED  := $(patsubst %.c,$(BUILD)/%.o,$(addprefix tests/fuzz/,fuzz.c mend.c image.c made_table.c) tests/model.c \
                  tools/text.c tools/records.c tools/json.c \
                  $(addprefix tools/,args.c bench_hist.c json_read.c tune_choice.c tune_label.c tune_lines.c \
                  tune_point.c tune_prices.c tune_spec.c tune_trace.c))
FUZZ_SAN     := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
REPLAYS      := $(patsubst fuzz_%,$(BUILD)/fuzz/replay_%,$(FUZZ_TARGETS))
$(BUILD)/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(BUILD)/tests/fuzz/plain_mutate.o $(FUZZ_SHARED) $(BUILD)/libomendb.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lm
$(BUILD)/fuzz/seeds: $(BUILD)/tests/fuzz/seeds.o $(BUILD)/tests/fuzz/plain_mutate.o $(FUZZ_SHARED) $(BUILD)/libomendb.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lm
$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(BUILD)/libomendb.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS) -lm
.PHONY: fuzz fuzz-run fuzz-targets fuzz-seeds replays
fuzz:
	$(MAKE) FLAVOUR=fuzz CC=clang CFLAGS="-O1 -g" SAN="$(FUZZ_SAN)" fuzz-targets
fuzz-targets: $(addprefix $(BUILD)/,$(FUZZ_TARGETS))
fuzz-run: fuzz
	tests/fuzz/run.sh build/fuzz $(or $(SECONDS),15)
fuzz-seeds: $(BUILD)/fuzz/seeds
	rm -rf $(BUILD)/fuzz/corpus
	$< $(BUILD)/fuzz/corpus
replays: $(REPLAYS)

EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))
$(BUILD)/examples/%: examples/%.c $(BUILD)/libomendb.a
	@mkdir -p $(@D)
	$(CC) -std=c17 -Ilsm $(WARN) $(CFLAGS) $(SAN) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

.PHONY: unit programs examples check test oracle crash fail kill damage repair-sweep stress soak mutants
unit: $(UNIT_TESTS)
programs: $(PROGRAMS)
examples: $(EXAMPLES)
test: check
check: all unit programs examples replays
	tests/run.sh $(BUILD)
oracle: $(BUILD)/tests/oracle
	$< --ops 200000
crash: $(BUILD)/tests/crash
	$< --points 100000
fail: $(BUILD)/tests/crash_scripts $(BUILD)/tests/fail_io $(BUILD)/tests/fail_alloc
	$(BUILD)/tests/crash_scripts
	$(BUILD)/tests/fail_io
	$(BUILD)/tests/fail_alloc
kill: $(BUILD)/tests/kill
	$< --kills 50
damage: $(BUILD)/tests/damage
	$<
repair-sweep: $(BUILD)/tests/repair_sweep
	$< --runs 5000
stress: all
	$(BUILD)/omendb stress --mode=dir --seconds=$(or $(SECONDS),60)
	$(BUILD)/omendb stress --mode=sim --faults --seconds=$(or $(SECONDS),60)
soak: all programs
	tests/soak.sh $(BUILD) $(or $(SECONDS),3600) $(PROGRAM)
mutants:
	$(MAKE) FLAVOUR=mutants DEFINES=-DOMI_MUTANTS_BUILD programs
	tests/mutants.sh build/mutants

# ---- sanitizers: Criterion hides leaks and does not run under TSan -------------------------------------
.PHONY: asan ubsan tsan
asan:
	$(MAKE) FLAVOUR=asan CFLAGS="-O1 -g" SAN="-fsanitize=address -fno-omit-frame-pointer" all unit programs replays
	tests/sanitized.sh build/asan unit
ubsan:
	$(MAKE) FLAVOUR=ubsan CFLAGS="-O1 -g" SAN="-fsanitize=undefined -fno-sanitize-recover=all" all unit programs replays
	tests/sanitized.sh build/ubsan unit
tsan:
	$(MAKE) FLAVOUR=tsan CFLAGS="-O1 -g -Wno-tsan" SAN="-fsanitize=thread" all programs
	tests/sanitized.sh build/tsan programs

# ---- coverage: `make check` over a build that counts lines ---------------------------------------------
.PHONY: coverage
coverage:
	rm -rf build/coverage
	$(MAKE) FLAVOUR=coverage CFLAGS="-O0 -g --coverage" LDFLAGS=--coverage all unit programs examples replays
	tests/run.sh build/coverage tune tune-report # they run no line of the library that others do not
	tests/coverage.sh build/coverage

# ---- looking after the tree ----------------------------------------------------------------------------
SOURCES := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
.PHONY: format format-check tidy layers symbols aarch64 dist clean help demo
format:
	clang-format -i $(SOURCES)
format-check:
	clang-format --dry-run -Werror $(SOURCES)
tidy:
	clang-tidy --quiet $(filter lsm/%.c compaction/%.c learned/%.c io/%.c memtier/%.c,$(SOURCES)) -- -std=c17 -D_GNU_SOURCE -I.
layers:
	tests/layers.sh
symbols: lib
	tests/symbols.sh $(BUILD)
# The headers of the four libraries do not depend on the machine; objects only, nothing is linked.
aarch64:
	tests/aarch64.sh build/aarch64
demo: all examples
	tools/demo.sh $(BUILD)
dist:
	git archive --prefix=omendb-$(VERSION)/ -o build/omendb-$(VERSION).tar.gz HEAD
clean:
	rm -rf build
help:
	@echo 'all        the library and the omendb tool, in build/release'
	@echo 'check      every test, under three minutes'
	@echo 'demo       real data in, killed, found again, benchmarked'
	@echo 'examples   the programs in examples/'
	@echo 'install    into PREFIX (/usr/local); also BINDIR LIBDIR INCLUDEDIR MANDIR DESTDIR'
	@echo 'oracle crash fail kill damage repair-sweep   the long forms of the test programs'
	@echo 'bench-tier  far memory against near: curves over the latency of a far line'
	@echo 'stress     threads against an oracle, SECONDS=60 in a directory and as long simulated'
	@echo 'soak       all of them for SECONDS=3600, added up in docs/ledger.md'
	@echo 'mutants    planted bugs, each to be found'
	@echo 'fuzz fuzz-run   the fuzzers (clang), each for SECONDS=15; fuzz-seeds: fresh starting corpora'
	@echo 'asan ubsan tsan   the tests under sanitizers'
	@echo 'coverage   the lines of the library that make check runs, by file; 90 % are asked for'
	@echo 'guest-check  the memory tier in virtual machines with far memory (tools/deps.sh --guest)'
	@echo 'aarch64    compiles for another machine'
	@echo 'format format-check tidy layers symbols dist clean'

# ---- installing --------------------------------------------------------------------------------------
.PHONY: install uninstall
$(BUILD)/omendb.pc: omendb.pc.in
	@mkdir -p $(@D)
	sed -e 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(LIBDIR),; s,@INCLUDEDIR@,$(INCLUDEDIR),; s,@VERSION@,$(VERSION),' $< > $@
install: all $(BUILD)/omendb.pc
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(MANDIR)/man1
	install -m 755 $(BUILD)/omendb $(DESTDIR)$(BINDIR)/omendb
	install -m 644 lsm/omendb.h $(DESTDIR)$(INCLUDEDIR)/omendb.h
	install -m 644 $(BUILD)/libomendb.a $(DESTDIR)$(LIBDIR)/libomendb.a
	install -m 755 $(BUILD)/libomendb.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libomendb.so.$(VERSION)
	ln -sf libomendb.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libomendb.so.$(SOMAJOR)
	ln -sf libomendb.so.$(SOMAJOR) $(DESTDIR)$(LIBDIR)/libomendb.so
	install -m 644 $(BUILD)/omendb.pc $(DESTDIR)$(LIBDIR)/pkgconfig/omendb.pc
	install -m 644 docs/omendb.1 $(DESTDIR)$(MANDIR)/man1/omendb.1
uninstall:
	rm -f $(DESTDIR)$(BINDIR)/omendb $(DESTDIR)$(INCLUDEDIR)/omendb.h $(DESTDIR)$(LIBDIR)/libomendb.* \
	    $(DESTDIR)$(LIBDIR)/pkgconfig/omendb.pc $(DESTDIR)$(MANDIR)/man1/omendb.1

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

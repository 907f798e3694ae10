# omendb: make help lists the targets.
CC      ?= cc
AR      ?= ar
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
CFLAGS  ?= -O2 -g
FLAVOUR ?= release
BUILD   ?= build/$(FLAVOUR)
VERSION := 0.1.0
SOMAJOR := 0

WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual
ifeq ($(WERROR),1)
WARN += -Werror
endif
ifneq (,$(findstring clang,$(CC)))
WARN += -Wthread-safety
endif
ALL_CFLAGS  = -std=c17 -D_GNU_SOURCE -I. $(WARN) -fno-strict-aliasing -ffp-contract=off -fvisibility=hidden \
              -fPIC -pthread $(CFLAGS) $(SAN)
ALL_LDFLAGS = -pthread $(LDFLAGS) $(SAN)
LIBS        = -luring -lzstd -lxxhash -lnuma

# One archive a folder; includes and links point down only.
FOLDERS := lsm compaction learned memtier io
src  = $(wildcard $(1)/*.c) $(if $(filter io,$(1)),$(wildcard io/base/*.c))
objs = $(patsubst %.c,$(BUILD)/%.o,$(call src,$(1)))
ARCHIVES := $(FOLDERS:%=$(BUILD)/libomi_%.a)

.PHONY: all lib
all: lib tools

lib: $(BUILD)/libomendb.a $(BUILD)/libomendb.so

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

define archive
$(BUILD)/libomi_$(1).a: $(call objs,$(1))
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive,$(f))))

$(BUILD)/libomendb.a: $(foreach f,$(FOLDERS),$(call objs,$(f)))
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/libomendb.so.$(VERSION): $(foreach f,$(FOLDERS),$(call objs,$(f))) lsm/libomendb.map
	$(CC) -shared -Wl,-soname,libomendb.so.$(SOMAJOR) -Wl,--version-script,lsm/libomendb.map \
	    $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS)
$(BUILD)/libomendb.so: $(BUILD)/libomendb.so.$(VERSION)
	ln -sf libomendb.so.$(VERSION) $(BUILD)/libomendb.so.$(SOMAJOR)
	ln -sf libomendb.so.$(VERSION) $@

# A unit test links its folder's archive and those below it: an upward call fails here.
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
.SECONDARY:

.PHONY: unit clean
unit: $(UNIT_TESTS)
clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

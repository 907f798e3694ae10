/* cmd_stress.c - stress: random work by many threads against an oracle, with crashes. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/cmd.h"
#include "tools/stress.h"

enum { SECONDS_DEFAULT = 10 };

static bool mode_parse(const char *text, enum stress_mode *out)
{
    for (int m = STRESS_DIR; m <= STRESS_FS; m++)
        if (strcmp(text, stress_mode_name((enum stress_mode)m)) == 0) {
            *out = (enum stress_mode)m;
            return true;
        }
    return false;
}

/* False, told, when the flags contradict each other. */
static bool plan_check(struct stress_plan *plan, const char *mode, const char *without,
                       uint64_t threads)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    if (!mode_parse(mode, &plan->mode)) {
        omt_usage("stress", "--mode is sim, dir, kill or fs");
        return false;
    }
    if (threads > STRESS_THREADS_MAX) {
        omt_usage("stress", "--threads goes to 8");
        return false;
    }
    if (plan->keys > 4000000) {
        omt_usage("stress", "--keys goes to 4000000");
        return false;
    }
    if (plan->faults && plan->mode != STRESS_SIM) {
        omt_usage("stress", "--faults needs --mode=sim");
        return false;
    }
    if (plan->mode == STRESS_FS && strcmp(plan->fs, "ext4") != 0 && strcmp(plan->fs, "xfs") != 0) {
        omt_usage("stress", "--fs is ext4 or xfs");
        return false;
    }
    if (!stress_without_parse(without, &plan->without)) {
        omt_usage("stress",
                  "--without takes write, get, multi-get, walk, snapshot, iterator, sync, "
                  "flush, compact, option, checkpoint");
        return false;
    }
    if (plan->set != NULL && omen_options_from_string(plan->set, &o) != OMEN_OK) {
        omt_tell("--set", OMEN_INVALID);
        return false;
    }
    plan->threads = (uint32_t)threads;
    plan->threads_given = threads != 0;
    plan->keys_given = plan->keys != 0;
    if (plan->seconds == 0 && plan->ops == 0 && plan->crashes == 0)
        plan->seconds = SECONDS_DEFAULT;
    return true;
}

static int plan_run(struct stress_plan *plan)
{
    stress_plan_draw(plan);
    if (!plan->json)
        stress_plan_print(plan, stdout);
    fflush(stdout);
    switch (plan->mode) {
    case STRESS_DIR:
        return stress_main_dir(plan);
    case STRESS_SIM:
        return stress_main_sim(plan);
    case STRESS_KILL:
        return stress_main_kill(plan);
    default:
        return stress_main_fs(plan);
    }
}

int omt_cmd_stress(int argc, char **argv)
{
    struct stress_plan plan = {.seed = (uint64_t)time(NULL), .fs = "ext4"};
    const char *mode = "dir", *without = "";
    uint64_t threads = 0;
    const struct omt_flag flags[] = {
        {"mode", OMT_TEXT, &mode, "dir|sim|kill|fs", "where it works, and how it crashes", NULL},
        {"seed", OMT_U64, &plan.seed, NULL, "decides everything (default: the time)", NULL},
        {"seconds", OMT_U64, &plan.seconds, NULL, "for so long (default 10)", NULL},
        {"ops", OMT_U64, &plan.ops, NULL, "so many operations", NULL},
        {"crashes", OMT_U64, &plan.crashes, NULL, "so many crashes", NULL},
        {"threads", OMT_U64, &threads, NULL, "1 to 8", NULL},
        {"keys", OMT_U64, &plan.keys, NULL, "distinct keys", NULL},
        {"set", OMT_TEXT, &plan.set, "NAME=VALUE,...", "options stronger than drawn ones", NULL},
        {"faults", OMT_BOOL, &plan.faults, NULL, "sim: calls that fail, too", NULL},
        {"fs", OMT_TEXT, &plan.fs, "ext4|xfs", "of fs mode", NULL},
        {"without", OMT_TEXT, &without, "KIND,...", "leave kinds of operations out", NULL},
        {"json", OMT_BOOL, &plan.json, NULL, "the closing figures as JSON", NULL},
        {"verbose", OMT_BOOL, &plan.verbose, NULL, "each operation on stderr", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "stress",
        .usage = "omendb stress [flags] [DIR]",
        .text =
            "Random reads and writes by many threads; every answer is compared with what it must\n"
            "be, also after crashes. What is not given is drawn from the seed.\n"
            "  dir   a real directory (DIR, or one in TMPDIR), then everything is checked\n"
            "  sim   a simulated file system that crashes; the same each time for a seed\n"
            "  kill  a child process is killed again and again\n"
            "  fs    a file system of its own is shut down under it (needs root)\n"
            "A failure prints the command that replays it. Exit code 1: something was wrong.\n",
        .examples = "  omendb stress --seconds=60\n"
                    "  omendb stress --mode=sim --faults --seed=7 --ops=4000\n"
                    "  omendb stress --mode=kill --crashes=100 --threads=4\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK)
        goto free_args;
    if (args.word_count > 1) {
        omt_usage("stress", "one directory at most");
        goto free_args;
    }
    if (args.word_count == 1)
        plan.dir = args.words[0];
    if (plan_check(&plan, mode, without, threads))
        r = omt_stdout_end(plan_run(&plan));
free_args:
    omt_args_free(&args);
    return r;
}

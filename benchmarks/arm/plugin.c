/* QEMU plugin: counts the instructions that a guest program executes, by class, between marks.
 *
 * Options: out=FILE, where the counts go; blocks=LABEL, the label whose executed blocks are
 * written as well, with their addresses, instructions and counts.
 *
 * Lines of FILE:
 *   mark LABEL CLASS=COUNT ...
 *   block ADDRESS COUNT WORD...           (hexadecimal, decimal, hexadecimal)
 *
 * The declarations are those of qemu-plugin.h of QEMU 7.2, plugin API version 1: Debian packages
 * the emulator without that header. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"
#include "marker.h"

#define EXPORT __attribute__((visibility("default")))
#define NO_LABEL 0

typedef uint64_t qemu_plugin_id_t;
typedef struct {
  const char *target_name;
  struct {
    int min;
    int cur;
  } version;
  bool system_emulation;
  union {
    struct {
      int smp_vcpus;
      int max_vcpus;
    } system;
  };
} qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
struct qemu_plugin_tb;
struct qemu_plugin_insn;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t,
                                                            struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
                                          void (*callback)(unsigned, void *),
                                          enum qemu_plugin_cb_flags flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t id,
    void (*callback)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                     uint64_t, uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *),
                                    void *data);

EXPORT int qemu_plugin_version = 1;

/* A translated block: it has one way in and runs to its end. */
struct block {
  struct block *next;
  uint64_t address;
  uint64_t executed;  /* since the start */
  uint64_t at_mark;   /* `executed` at the last mark */
  uint64_t for_label; /* executions that belong to `blocks_label` */
  uint16_t classes[CLASSES];
  size_t size;
  uint32_t words[];
};

static struct block *blocks;
static FILE *out;
static uint64_t blocks_label = NO_LABEL;

static void on_execution(unsigned vcpu, void *data) {
  struct block *block = data;
  (void)vcpu;
  /* Threads of a guest run at the same time. */
  __atomic_fetch_add(&block->executed, 1, __ATOMIC_RELAXED);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  size_t size = qemu_plugin_tb_n_insns(tb);
  struct block *block = calloc(1, sizeof *block + size * sizeof block->words[0]);
  (void)id;
  if (!block) {
    perror("plugin");
    abort();
  }
  block->address = qemu_plugin_tb_vaddr(tb);
  block->size = size;
  for (size_t i = 0; i < size; i++) {
    memcpy(&block->words[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), 4);
    block->classes[classify(block->words[i])]++;
  }
  block->next = __atomic_load_n(&blocks, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&blocks, &block->next, block, true, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {
  }
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_execution, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void on_mark(uint64_t label) {
  uint64_t counts[CLASSES] = {0};
  for (struct block *block = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE); block;
       block = block->next) {
    uint64_t executed = __atomic_load_n(&block->executed, __ATOMIC_RELAXED);
    uint64_t new = executed - block->at_mark;
    block->at_mark = executed;
    if (label == NO_LABEL) continue;
    if (label == blocks_label) block->for_label += new;
    for (int i = 0; i < CLASSES; i++) counts[i] += new * block->classes[i];
  }
  if (label == NO_LABEL) return;
  fprintf(out, "mark %" PRIu64, label);
  for (int i = 0; i < CLASSES; i++) fprintf(out, " %s=%" PRIu64, CLASS_NAMES[i], counts[i]);
  fputc('\n', out);
  fflush(out);
}

static void on_syscall(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                       uint64_t a8) {
  (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number == MARKER_SYSCALL) on_mark(a1);
}

static void on_end(qemu_plugin_id_t id, void *data) {
  (void)id, (void)data;
  for (struct block *block = blocks; block; block = block->next) {
    if (!block->for_label) continue;
    fprintf(out, "block %" PRIx64 " %" PRIu64, block->address, block->for_label);
    for (size_t i = 0; i < block->size; i++) fprintf(out, " %08" PRIx32, block->words[i]);
    fputc('\n', out);
  }
  fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                               char **argv) {
  if (strcmp(info->target_name, "aarch64") != 0) {
    fprintf(stderr, "plugin: expected aarch64, got %s\n", info->target_name);
    return 1;
  }
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "out=", 4) == 0) {
      out = fopen(argv[i] + 4, "w");
    } else if (strncmp(argv[i], "blocks=", 7) == 0) {
      blocks_label = strtoull(argv[i] + 7, NULL, 10);
    } else {
      fprintf(stderr, "plugin: expected out=FILE or blocks=LABEL, got %s\n", argv[i]);
      return 1;
    }
  }
  if (!out) {
    fprintf(stderr, "plugin: expected out=FILE that can be written\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  qemu_plugin_register_atexit_cb(id, on_end, NULL);
  return 0;
}

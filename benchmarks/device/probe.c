// What one core of a device can do, and in which state it is; for phones without Python:
//
//   aarch64-linux-gnu-gcc -O2 -static -o probe probe.c
//   ./probe [CORE [MILLISECONDS]]
//
// Runs on one core (the last one it may use) and prints one JSON object: the core's MIDR, governor,
// frequencies, the temperature zones, and the best of a few rounds of
//   clock_mhz      additions that wait for one another: one per cycle, on every core known to us
//   scalar_gmac_s  float32 multiply-adds per second, 1e9, one number at a time
//   neon_gmac_s    the same with vectors of four
//   read_gb_s      bytes per second, 1e9, read from a buffer larger than caches
// A value that cannot be read is null.
#define _GNU_SOURCE
#include <glob.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define BUFFER (64u << 20) // bytes
#define UNROLLED 16        // multiply-adds that do not wait for one another: 4 cycles, 4 units
#define EACH(I) I(0) I(1) I(2) I(3) I(4) I(5) I(6) I(7) I(8) I(9) I(10) I(11) I(12) I(13) I(14) I(15)
#define ADD(n) "add %0, %0, #1\n"
#define FMADD(n) "fmadd s" #n ", s30, s31, s" #n "\n"
#define FMLA(n) "fmla v" #n ".4s, v30.4s, v31.4s\n"
#define ZERO(n) "movi v" #n ".2d, #0\n"
#define VECTORS "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", \
                "v13", "v14", "v15", "v30", "v31"

static unsigned char *buffer;

static void add(uint64_t times) {
  uint64_t value = 0;
  __asm__ volatile("1:\n" EACH(ADD) "subs %1, %1, #1\nb.ne 1b" : "+r"(value), "+r"(times)::"cc");
}

static void scalar(uint64_t times) {
  __asm__ volatile(EACH(ZERO) "fmov s30, #1.0\nfmov s31, #0.5\n1:\n" EACH(FMADD)
                   "subs %0, %0, #1\nb.ne 1b" : "+r"(times)::"cc", VECTORS);
}

static void neon(uint64_t times) {
  __asm__ volatile(EACH(ZERO) "fmov v30.4s, #1.0\nfmov v31.4s, #0.5\n1:\n" EACH(FMLA)
                   "subs %0, %0, #1\nb.ne 1b" : "+r"(times)::"cc", VECTORS);
}

static void read_all(uint64_t times) {
  while (times--) {
    const unsigned char *at = buffer, *end = buffer + BUFFER;
    __asm__ volatile("1:\nldp q0, q1, [%0], #64\nldp q2, q3, [%0, #-32]\ncmp %0, %1\nb.lo 1b"
                     : "+r"(at) : "r"(end) : "cc", "memory", VECTORS);
  }
}

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

// Times per second, the best of ROUNDS rounds of at least `least_s` each.
static double rate(void (*work)(uint64_t), double least_s) {
  double best = 0;
  uint64_t times = 1;
  for (int round = 0; round < ROUNDS;) {
    double begin = now_s();
    work(times);
    double took = now_s() - begin;
    if (took < least_s) {
      times *= 2;
    } else {
      if (times / took > best) best = times / took;
      round++;
    }
  }
  return best;
}

// The first line of a file as a JSON string, or null.
static void print_file(const char *path) {
  char line[256] = "";
  FILE *file = fopen(path, "r");
  if (!file || !fgets(line, sizeof line, file)) {
    printf("null");
  } else {
    putchar('"');
    for (char *at = line; *at && *at != '\n'; at++)
      if (*at >= ' ' && *at <= '~' && *at != '"' && *at != '\\') putchar(*at);
    putchar('"');
  }
  if (file) fclose(file);
}

static void print_member(const char *name, const char *format, int core) {
  char path[256];
  snprintf(path, sizeof path, format, core);
  printf(", \"%s\": ", name);
  print_file(path);
}

static void print_zones(void) {
  glob_t found;
  printf(", \"zones\": [");
  if (glob("/sys/class/thermal/thermal_zone*", 0, NULL, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; i++) {
      char path[256];
      printf(i ? ", [" : "[");
      snprintf(path, sizeof path, "%s/type", found.gl_pathv[i]);
      print_file(path);
      printf(", ");
      snprintf(path, sizeof path, "%s/temp", found.gl_pathv[i]);
      print_file(path);
      printf("]");
    }
    globfree(&found);
  }
  printf("]");
}

int main(int argc, char **argv) {
  cpu_set_t cores;
  int core = -1;
  double least_s = (argc > 2 ? atof(argv[2]) : 100) * 1e-3;
  sched_getaffinity(0, sizeof cores, &cores);
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, &cores)) core = i;
  if (argc > 1) core = atoi(argv[1]);
  CPU_ZERO(&cores);
  if (core >= 0 && core < CPU_SETSIZE) CPU_SET(core, &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
    fprintf(stderr, "expected to run on core %d, the system does not let it\n", core);
    return 1;
  }
  buffer = malloc(BUFFER);
  if (!buffer) {
    fprintf(stderr, "expected %u bytes of memory\n", BUFFER);
    return 1;
  }
  memset(buffer, 1, BUFFER); // pages that were never written are all the same one
  printf("{\"cpu\": %d, \"midr\": ", core);
  if (getauxval(AT_HWCAP) & HWCAP_CPUID) { // the kernel answers for the core that asks
    uint64_t midr;
    __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
    printf("\"0x%08x\"", (unsigned)midr);
  } else {
    printf("null");
  }
  print_member("online", "/sys/devices/system/cpu/online", core);
  print_member("governor", "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", core);
  print_member("min_khz", "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_min_freq", core);
  print_member("max_khz", "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_max_freq", core);
  printf(", \"clock_mhz\": %.6g", rate(add, least_s) * UNROLLED * 1e-6);
  printf(", \"scalar_gmac_s\": %.6g", rate(scalar, least_s) * UNROLLED * 1e-9);
  printf(", \"neon_gmac_s\": %.6g", rate(neon, least_s) * UNROLLED * 4 * 1e-9);
  print_member("current_khz", "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", core);
  printf(", \"read_gb_s\": %.6g", rate(read_all, least_s) * BUFFER * 1e-9);
  print_zones();
  printf("}\n");
  return 0;
}

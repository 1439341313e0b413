/* Class of an AArch64 instruction, for counting.
 *
 * The groups and encodings are those of the Arm Architecture Reference Manual for A-profile
 * (DDI 0487), chapter C4: A64 instruction set encoding. */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

enum instruction_class {
  MULTIPLY_ADD, /* vectors and scalars: FMLA, FMADD, MLA, SMLAL and the like */
  DOT,          /* SDOT, UDOT, USDOT, SUDOT */
  MATRIX,       /* SMMLA, UMMLA, USMMLA */
  LOAD,         /* prefetches and atomics too */
  STORE,
  BRANCH,
  INTEGER, /* arithmetic and moves of general registers, system instructions */
  SIMD,    /* other work of vector and floating-point registers */
  SVE,
  CLASSES
};

static const char *const CLASS_NAMES[CLASSES] = {
    "multiply_add", "dot", "matrix", "load", "store", "branch", "integer", "simd", "sve",
};

static inline bool has_bits(uint32_t word, uint32_t mask, uint32_t bits) {
  return (word & mask) == bits;
}

static inline bool is_multiply_add(uint32_t word) {
  return has_bits(word, 0xFF000000, 0x1F000000)     /* FMADD, FMSUB, FNMADD, FNMSUB */
         || has_bits(word, 0xBF20FC00, 0x0E20CC00)  /* FMLA, FMLS, vectors of 32 and 64 bits */
         || has_bits(word, 0xBF60FC00, 0x0E400C00)  /* ... of 16 bits */
         || has_bits(word, 0xBF80B400, 0x0F801000)  /* ... by an element, 32 and 64 bits */
         || has_bits(word, 0xBFC0B400, 0x0F001000)  /* ... by an element, 16 bits */
         || has_bits(word, 0xFF80B400, 0x5F801000)  /* ... of scalars by an element */
         || has_bits(word, 0xFFC0B400, 0x5F001000)  /* ... of scalars by an element, 16 bits */
         || has_bits(word, 0x9F20FC00, 0x0E209400)  /* MLA, MLS */
         || has_bits(word, 0xBF00B400, 0x2F000000)  /* ... by an element */
         || has_bits(word, 0x9F20CC00, 0x0E208000)  /* SMLAL, UMLAL, SMLSL, SQDMLAL, ... */
         || has_bits(word, 0x9F00A400, 0x0F002000); /* ... by an element */
}

static inline bool is_dot(uint32_t word) {
  return has_bits(word, 0x9FE0FC00, 0x0E809400)     /* SDOT, UDOT */
         || has_bits(word, 0xBFE0FC00, 0x0E809C00)  /* USDOT */
         || has_bits(word, 0x9FC0F400, 0x0F80E000)  /* SDOT, UDOT by an element */
         || has_bits(word, 0xBF40F400, 0x0F00F000); /* SUDOT, USDOT by an element */
}

static inline bool is_matrix(uint32_t word) {
  return has_bits(word, 0xDFE0FC00, 0x4E80A400)     /* SMMLA, UMMLA */
         || has_bits(word, 0xFFE0FC00, 0x4E80AC00); /* USMMLA */
}

/* Within the group "loads and stores". */
static inline bool is_load(uint32_t word) {
  bool is_vector = word >> 26 & 1;
  uint32_t opc = word >> 22 & 3;
  switch (word >> 28 & 3) {
  case 0: /* exclusive, ordered; vector structures; CAS loads whatever its bit 22 says */
    return (!is_vector && has_bits(word, 0x00A00000, 0x00A00000)) || (opc & 1);
  case 1:
    if (!(word >> 24 & 1)) return true; /* literal */
    return opc != 0;                    /* LDAPUR */
  case 2: /* pairs */
    return opc & 1;
  default:
    if (!is_vector && has_bits(word, 0x01200C00, 0x00200000)) return true; /* atomic */
    if (has_bits(word, 0x01200400, 0x00200400)) return true;               /* LDRAA, LDRAB */
    return is_vector ? (opc & 1) : opc != 0;
  }
}

static inline bool is_branch(uint32_t word) {
  return has_bits(word, 0x7C000000, 0x14000000)     /* B, BL */
         || has_bits(word, 0xFE000000, 0x54000000)  /* B.cond */
         || has_bits(word, 0x7C000000, 0x34000000)  /* CBZ, CBNZ, TBZ, TBNZ */
         || has_bits(word, 0xFE000000, 0xD6000000); /* BR, BLR, RET */
}

static inline enum instruction_class classify(uint32_t word) {
  uint32_t group = word >> 25 & 15;
  if (group == 2) return SVE;
  if ((group & 5) == 4) return is_load(word) ? LOAD : STORE;
  if (is_branch(word)) return BRANCH;
  if ((group & 7) != 7) return INTEGER;
  if (is_multiply_add(word)) return MULTIPLY_ADD;
  if (is_dot(word)) return DOT;
  if (is_matrix(word)) return MATRIX;
  return SIMD;
}

#endif

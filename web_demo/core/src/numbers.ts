/** Rounding as Python does it, so that both languages take the same decisions. */

/** The nearest whole number; a half goes to the even neighbour. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) {
    return rest < 0.5 ? below : below + 1;
  }
  return below % 2 === 0 ? below : below + 1;
}

/** The nearest whole number; a half goes up. */
export function roundHalfUp(value: number): number {
  return Math.floor(value + 0.5);
}

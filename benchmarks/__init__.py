"""What the models cost: counts, host times, ARM instructions, and estimates for phones."""

"""Conversion of the reference networks to the formats of the phones, with proof of agreement."""

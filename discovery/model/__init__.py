"""The vocabulary: frozen values and enums, no I/O, standard library only."""

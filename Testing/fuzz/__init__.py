"""Inputs damaged at random: each must end in a value or in one sentence, within bounds."""

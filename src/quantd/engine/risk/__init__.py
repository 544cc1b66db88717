"""The risk gate: limits, controls, and the one door that every order passes."""

"""Formulas that keep their digits: special functions, and the algebra of Cholesky factors."""

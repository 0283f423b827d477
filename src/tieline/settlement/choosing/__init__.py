"""Choosing well: which baseline rule a program should be settled by, with its evidence; and who may be gaming it."""

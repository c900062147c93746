"""Games on a grid of 10 x 10 cells, with the rules of MinAtar (Young & Tian 2019)."""

"""Seeded sample data for every source, with known defects and a truth file that counts them."""

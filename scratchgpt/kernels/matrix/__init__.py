"""Matrix products: the register tile, packing, the products on packed operands."""

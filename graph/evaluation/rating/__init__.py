"""People compare pairs of conversations on a page, without being told which system is which."""

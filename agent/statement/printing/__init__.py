"""The statement on paper: what stands where on the pages of its PDF."""

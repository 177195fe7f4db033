"""Card readers: framings of the readers' bytes, and the shell that reads them."""

"""Month statements: what a month of charging costs, as PDF, XLSX, CSV, OCPI CDRs and JSON (contract, section 6)."""

"""Files that are fetched and sent, firmware that is verified and installed, and the support bundle."""

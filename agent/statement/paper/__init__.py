"""Pages of a PDF: objects, fonts, pictures and the flow of text. Knows nothing of sessions."""

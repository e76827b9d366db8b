"""Values that every room shares: amounts, errors, networks, settings, receipts. Nothing is read at import."""

"""An OpenAI-compatible server on this machine: any client's calls, paid by this wallet, each with a receipt."""

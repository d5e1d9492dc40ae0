"""The proposal's claims, measured side by side: `make bench`. docs/architecture.md says how it is built."""

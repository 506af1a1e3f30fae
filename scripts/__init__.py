"""Programs for those who work on Driftwatch: lint, assets, tables, audits."""

"""The page of recordings that `edgetune report` writes."""

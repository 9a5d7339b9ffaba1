"""Facts and figures. The facts are written by the packages that know them; the figures are sums over them (model, measures, catalogue)."""

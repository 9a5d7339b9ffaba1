"""Facts and figures. The facts are written from day one by the packages that know them; the figures come here."""

"""Programs that tests run as processes of their own, to kill and to stop them."""

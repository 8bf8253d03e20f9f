"""``report.html``: what a run has learned, as one page that opens offline, in Chinese and English."""

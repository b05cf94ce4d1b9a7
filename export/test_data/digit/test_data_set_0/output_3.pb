
	Bhas_inkJ


	Bis_digitJ

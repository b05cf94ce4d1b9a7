
BprobabilitiesJ(SS1˙ˇ?¯jL2Ä£91œ!≠/>«3“Æ637]Ä4y≠91Gaœ1
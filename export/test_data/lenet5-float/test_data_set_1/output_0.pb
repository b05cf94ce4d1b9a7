
BprobabilitiesJ(Ag?»¾6´_?3Is[6¦w!4S?5ç+;Ê-E1"¾=Ä·8

BprobabilitiesJ(Dg?Î¾6·_?3Ls[6w!4U?5ç+;å-E1ñ!¾=Ï·8
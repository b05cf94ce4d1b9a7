
BprobabilitiesJ(Zo0^Û&4™µ3gG8á¶/R\™2ûÂñ(Úü?d¾0vX°4
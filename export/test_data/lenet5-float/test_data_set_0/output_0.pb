
BprobabilitiesJ(<o0?Û&4ë˜µ35G8³ž¶/+\™2ÜÂñ(Úü?Ðc¾04X°4
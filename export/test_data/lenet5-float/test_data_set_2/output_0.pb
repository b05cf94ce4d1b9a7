
BprobabilitiesJ(IÎN?(÷Í5ÄL2´ŒÂ4HØG5iÝ&3½!w:Š­0~ÇC>l$ñ7

BprobabilitiesJ(<ÎN?(÷Í5¨L2ÁŒÂ4IØG54Ý&3½!w:‚­0®ÇC>k$ñ7
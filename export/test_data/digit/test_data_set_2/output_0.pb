
BprobabilitiesJ(ßúÖ8u2}?ò¥u:üW9–Ñï:c‰‰:8ÿİ9yÙ´;“‡9Í4:
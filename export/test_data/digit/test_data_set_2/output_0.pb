
BprobabilitiesJ(d-¨<Ε6P?Ό—-<ΉI<5ZZ<1μι<χ“ψ<<<=;‘<"ω€<
package doctor

func (v *visit) voms() {}

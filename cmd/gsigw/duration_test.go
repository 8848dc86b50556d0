package main

import (
	"testing"
	"time"
)

func TestHoursMinutes_TakesWhatGridToolsTake(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"12:00": 12 * time.Hour, "0:30": 30 * time.Minute, "168:00": 168 * time.Hour, "0:00": 0, "1:5": 65 * time.Minute,
	} {
		var f hoursMinutes
		if err := f.Set(s); err != nil || f.Duration != want {
			t.Errorf("%s is %v, %v; want %v", s, f.Duration, err, want)
		}
	}
	for _, s := range []string{"", "12", ":", "1:", ":1", "1:60", "-1:00", "1:-1", "1:00:00", "a:b", "1000001:00", "4294967295:59"} {
		var f hoursMinutes
		if err := f.Set(s); err == nil {
			t.Errorf("%q is taken as %v", s, f.Duration)
		}
	}
}

func TestWholeHours_SetTheSameTime(t *testing.T) {
	var f hoursMinutes
	if err := (wholeHours{&f}).Set("3"); err != nil || f.String() != "3:00" {
		t.Error(f.String(), err)
	}
	for _, s := range []string{"", "x", "1:00", "-1"} {
		if err := (wholeHours{&f}).Set(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

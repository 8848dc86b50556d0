package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// longestHours bounds the times that a flag takes: no certificate lives longer.
const longestHours = 1_000_000

// hoursMinutes is a flag with a length of time as grid tools write it, H:M.
type hoursMinutes struct{ time.Duration }

func (f *hoursMinutes) String() string {
	if f.Duration == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%02d", int(f.Hours()), int(f.Minutes())%60)
}

func (f *hoursMinutes) Type() string { return "H:M" }

func (f *hoursMinutes) Set(s string) error {
	hours, minutes, found := strings.Cut(s, ":")
	h, err := strconv.ParseUint(hours, 10, 32)
	m, minutesErr := strconv.ParseUint(minutes, 10, 32)
	switch {
	case !found || err != nil || minutesErr != nil || m > 59:
		return fmt.Errorf("%q is no length of time: write hours and minutes, like 12:00", s)
	case h > longestHours:
		return fmt.Errorf("%s is longer than any certificate lives", s)
	}
	f.Duration = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	return nil
}

// wholeHours is the older flag that sets the same length of time in hours.
type wholeHours struct{ of *hoursMinutes }

func (f wholeHours) String() string { return "" }
func (f wholeHours) Type() string   { return "H" }

func (f wholeHours) Set(s string) error {
	if strings.Contains(s, ":") {
		return fmt.Errorf("%q is no number of hours", s)
	}
	return f.of.Set(s + ":00")
}

// clock writes a length of time as grid-proxy-info and voms-proxy-info do: 11:59:58.
func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// date writes a point in time as the grid's tools do, in local time: Sun Nov 22 11:36:06 2026.
func date(t time.Time) string { return t.Local().Format(time.ANSIC) }

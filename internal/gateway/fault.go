package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"gsigw/internal/policy"
	"gsigw/internal/session"
	"gsigw/internal/upstream"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

// The results of an exchange, as they stand in records and metrics.
const (
	resultOK              = "ok"
	resultFault           = "fault" // the service's own
	resultMalformed       = "malformed"
	resultDenied          = "denied"
	resultCredential      = "credential"
	resultUnverified      = "unverified"
	resultUnverifiedFault = "unverified-fault"
	resultUnreachable     = "unreachable"
	resultTimeout         = "timeout"
	resultAnswer          = "answer"
	resultHungUp          = "hung-up"
	resultInternal        = "internal"
)

// outcome is what a failure means: to the engine, and to whoever reads the record.
type outcome struct {
	result string
	class  string // finer: the class of a refusal, the rule, the leg
	status int    // for a call; 0 means 500
	get    int    // for a GET
	fault  soap.Fault
}

// rows is the table of failures. The first row that knows the error tells what it means.
var rows = []func(error) (outcome, bool){
	crashRow, spoolRow, malformedRow, unreadableRow, deniedRow, credentialRow, unsecurableRow,
	unverifiedRow, unsignedFaultRow, badAnswerRow, upstreamRow,
}

func judge(err error) outcome {
	for _, row := range rows {
		if o, ok := row(err); ok {
			return o
		}
	}
	return internal
}

var internal = outcome{result: resultInternal, get: http.StatusInternalServerError, fault: soap.Fault{
	Reason: "internal error in the gateway; its log tells more under the exchange in the detail",
}}

// crashRow is for a defect that was met on the way of somebody else's error.
func crashRow(err error) (outcome, bool) {
	_, ok := errors.AsType[*crash](err)
	return internal, ok
}

// spoolRow is for what has no place to lie: no room on the disk, or a file that somebody changed.
func spoolRow(err error) (outcome, bool) {
	if _, ok := errors.AsType[*spool.Error](err); !ok {
		return outcome{}, false
	}
	return outcome{result: resultInternal, class: classSpool, get: http.StatusServiceUnavailable, fault: soap.Fault{
		Reason: "the gateway could not keep the message while it was under way; its log tells more under the exchange in the detail",
	}}, true
}

const classSpool = "spool"

func malformedRow(err error) (outcome, bool) {
	e, ok := errors.AsType[*malformed](err)
	if !ok {
		return outcome{}, false
	}
	o := outcome{result: resultMalformed, class: string(xmlscan.Malformed), get: http.StatusBadRequest}
	if e.tooBig {
		o.class, o.status = string(xmlscan.Limit), http.StatusRequestEntityTooLarge
	}
	o.fault = soap.Fault{Sender: true, Reason: e.reason}
	return o, true
}

func unreadableRow(err error) (outcome, bool) {
	e, ok := errors.AsType[*unreadable](err)
	if !ok {
		return outcome{}, false
	}
	o := outcome{result: resultMalformed, fault: *soap.Refusal(e.source, e.err)}
	if x, ok := errors.AsType[*xmlscan.Error](e.err); ok {
		o.class = string(x.Class)
		if x.Limit == "message" {
			o.status = http.StatusRequestEntityTooLarge
		}
	}
	return o, true
}

func deniedRow(err error) (outcome, bool) {
	e, ok := errors.AsType[*policy.Denied](err)
	if !ok {
		return outcome{}, false
	}
	return outcome{result: resultDenied, class: e.Rule, get: http.StatusForbidden, fault: soap.Fault{
		Sender: true, Reason: "denied by rule " + e.Rule + ": " + e.Reason,
	}}, true
}

// credentialRow leaves out what is wrong with which file: that stays in the log.
func credentialRow(err error) (outcome, bool) {
	e, ok := errors.AsType[*unusable](err)
	if !ok {
		return outcome{}, false
	}
	class := "unreadable"
	if errors.Is(err, session.ErrNoCredential) {
		class = "none"
	}
	return outcome{result: resultCredential, class: class, get: http.StatusServiceUnavailable, fault: soap.Fault{
		Code:   soap.Name{Space: soap.WSSE, Local: "SecurityTokenUnavailable"},
		Reason: "the gateway has no usable credential for this call: " + e.remedy,
	}}, true
}

func unsecurableRow(err error) (outcome, bool) {
	if _, ok := errors.AsType[*unsecurable](err); !ok {
		return outcome{}, false
	}
	return outcome{result: resultInternal, class: "secure", fault: soap.Fault{
		Reason: "the message could not be secured, and was not sent; the gateway's log tells more under the exchange in the detail",
	}}, true
}

// unverifiedRow has constant words: what the check found is nothing for somebody who may be trying.
func unverifiedRow(err error) (outcome, bool) {
	if _, ok := errors.AsType[*unverified](err); !ok {
		return outcome{}, false
	}
	return outcome{result: resultUnverified, class: classOf(err), fault: soap.Fault{
		Code:   soap.Name{Space: soap.WSSE, Local: "FailedCheck"},
		Reason: "the service's reply failed the check of its security",
	}}, true
}

// classOf is why a reply was refused.
func classOf(err error) string {
	if e, ok := errors.AsType[*wssec.Error](err); ok {
		return string(e.Class)
	}
	return string(wssec.ClassMalformed)
}

func unsignedFaultRow(err error) (outcome, bool) {
	e, ok := errors.AsType[*unsignedFault](err)
	if !ok {
		return outcome{}, false
	}
	return outcome{result: resultUnverifiedFault, class: string(wssec.ClassNoSecurity), fault: soap.Fault{
		Code:   soap.Name{Space: soap.FaultSpace, Local: "UnverifiedFault"},
		Reason: "somebody answered with a fault that nobody signed; it is quoted in the detail, and may be anyone's words",
		Quoted: e.text,
	}}, true
}

func badAnswerRow(err error) (outcome, bool) {
	e, ok := errors.AsType[*badAnswer](err)
	if !ok {
		return outcome{}, false
	}
	return outcome{result: resultAnswer, class: "status", get: http.StatusBadGateway, fault: soap.Fault{
		Reason: e.reason, Quoted: e.quoted,
	}}, true
}

func upstreamRow(err error) (outcome, bool) {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return outcome{}, false
	}
	o := outcome{result: resultUnreachable, class: string(e.Op), get: http.StatusBadGateway}
	o.fault.Reason = "the call to the service failed: " + plain(err)
	if e.Timeout() {
		o.result, o.get = resultTimeout, http.StatusGatewayTimeout
		o.fault.Reason = "the service took too long: " + plain(err)
	}
	return o, true
}

// plain is an error's text without its package prefix.
func plain(err error) string {
	text := err.Error()
	for _, p := range []string{"upstream: ", "soap: ", "wssec: ", "policy: "} {
		text = strings.TrimPrefix(text, p)
	}
	return text
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// failed makes the answer out of an error: a fault in the message's own version, or a line of text for a GET.
func (x *exchange) failed(ctx context.Context, err error) *answer {
	o := judge(err)
	if ctx.Err() != nil {
		o.result, o.class = resultHungUp, ""
	}
	x.facts.result, x.facts.class, x.facts.err = o.result, o.class, err
	if o.result == resultUnverified || o.result == resultUnverifiedFault {
		x.Observer.Refused(o.class)
	}
	if x.request.Method == http.MethodGet {
		return x.failedGet(o)
	}
	o.fault.Message = x.facts.id
	a := &answer{status: cmp.Or(o.status, http.StatusInternalServerError), header: http.Header{}, body: text(o.fault.Marshal(x.version))}
	a.header.Set("Content-Type", x.version.ContentType())
	return a
}

func (x *exchange) failedGet(o outcome) *answer {
	a := &answer{status: cmp.Or(o.get, http.StatusInternalServerError), header: http.Header{}}
	a.header.Set("Content-Type", "text/plain; charset=utf-8")
	a.body = text([]byte("gsigw: " + o.fault.Reason + " (exchange " + x.facts.id + ")\n"))
	return a
}

package policy

import (
	"fmt"
	"mime"
	"slices"
	"strings"
)

// Names of the rules, as they stand in decisions, faults and metrics.
const (
	ruleAddress     = "address" // of an address that has no one reading, as rulePath
	rulePath        = "path"
	ruleForm        = "form"
	ruleCaller      = "caller"
	ruleMethod      = "method"
	ruleRoute       = "route"
	ruleScheme      = "scheme"
	rulePermit      = "callers"
	ruleGet         = "get"
	ruleQuery       = "query"
	ruleContentType = "content-type"
	ruleAction      = "action-agreement"
	ruleActions     = "actions"
	ruleOperations  = "operations"
	ruleAttachments = "attachments"
)

// A rule returns the reason why it denies, or nothing. fine is what an explanation says when it does not.
type rule struct {
	name  string
	check func(Call, *Route) string
	fine  string
}

var beforeRoute = []rule{
	{ruleForm, knownForm, "the form of the request is one we serve"},
	{ruleCaller, authenticated, "the caller is known"},
	{ruleMethod, method, "the method is POST or GET"},
}

var onRoute = []rule{
	{ruleScheme, tunnelled, "the scheme fits the form"},
	{rulePermit, permitted, "the caller may use the route"},
	{ruleGet, namedGet, "it is a message, a description, or a path named under gets"},
	{ruleQuery, namedQuery, "it has no query, or a named one"},
	{ruleContentType, soapType, "the content type is SOAP's"},
	{ruleAction, agreement, "SOAPAction, wsa:Action and the content type's action do not contradict each other"},
	{ruleActions, allowedAction, "the action is allowed"},
	{ruleOperations, allowedOperation, "the operation is allowed"},
	{ruleAttachments, attachments, "no attachment travels unsigned against the route's word"},
}

func knownForm(c Call, _ *Route) string {
	switch c.Form {
	case Forward, Connect, Reverse:
		return ""
	}
	return fmt.Sprintf("form %q is not served", c.Form)
}

func authenticated(c Call, _ *Route) string {
	if c.Caller == "" {
		return "nobody was authenticated on this connection"
	}
	return ""
}

func method(c Call, _ *Route) string {
	if c.Method == "POST" || c.Method == "GET" {
		return ""
	}
	return fmt.Sprintf("method %q is not served: SOAP is POST, descriptions are GET", c.Method)
}

// tunnelled keeps plain http out of a CONNECT tunnel: an upgrade there would hide a downgrade by the engine.
func tunnelled(c Call, _ *Route) string {
	if c.Form == Connect && c.Scheme != "https" {
		return "inside a CONNECT tunnel only https is served"
	}
	return ""
}

func permitted(c Call, r *Route) string {
	if r.permits(c.Caller) {
		return ""
	}
	return fmt.Sprintf("caller %s is not among the callers of route %s", c.Caller, r.Name)
}

func namedGet(c Call, r *Route) string {
	if c.Method != "GET" || describes(c.RawQuery) || r.gets(c.Path) {
		return ""
	}
	return fmt.Sprintf("GET %s is neither ?wsdl nor ?xsd, and not among the gets of route %s", c.Path, r.Name)
}

func (r *Route) gets(path string) bool {
	return slices.ContainsFunc(r.Gets, func(get string) bool {
		fixed, prefix, err := parsePattern(get)
		return err == nil && matches(fixed, prefix, path)
	})
}

// describes recognises the queries by which services hand out their description: wsdl, xsd, wsdl=..., xsd=...
func describes(query string) bool {
	key, _, _ := strings.Cut(strings.ToLower(query), "=")
	return (key == "wsdl" || key == "xsd") && !strings.ContainsAny(query, "&;")
}

func namedQuery(c Call, r *Route) string {
	if c.RawQuery == "" || c.Method == "GET" && describes(c.RawQuery) || slices.Contains(r.Queries, c.RawQuery) {
		return ""
	}
	return fmt.Sprintf("the query %q is not among the queries of route %s", c.RawQuery, r.Name)
}

func soapType(c Call, _ *Route) string {
	if c.Method != "POST" {
		return ""
	}
	kind, _, err := mime.ParseMediaType(c.ContentType)
	if err != nil {
		return fmt.Sprintf("content type %q cannot be read", c.ContentType)
	}
	switch kind {
	case "text/xml", "application/soap+xml", "multipart/related":
		return ""
	}
	return fmt.Sprintf("content type %q is not SOAP's: text/xml, application/soap+xml or multipart/related", kind)
}

// agreement lets no call pass whose action depends on where the service looks (SOAPAction spoofing).
func agreement(c Call, _ *Route) string {
	if c.Method != "POST" {
		return ""
	}
	header, ok := unquote(c.SOAPAction)
	if !ok {
		return fmt.Sprintf("the quotes of SOAPAction %s do not match", c.SOAPAction)
	}
	if c.HasWSA && c.WSAAction == "" {
		return "there are addressing headers, but no wsa:Action among them"
	}
	param := actionParameter(c)
	for _, pair := range [][4]string{
		{"SOAPAction", header, "wsa:Action", c.WSAAction},
		{"SOAPAction", header, "the content type's action", param},
		{"the content type's action", param, "wsa:Action", c.WSAAction},
	} {
		if pair[1] != "" && pair[3] != "" && pair[1] != pair[3] {
			return fmt.Sprintf("%s %q and %s %q differ", pair[0], pair[1], pair[2], pair[3])
		}
	}
	return ""
}

func unquote(action string) (string, bool) {
	action = strings.TrimSpace(action)
	if inner, ok := strings.CutPrefix(action, `"`); ok {
		action, ok = strings.CutSuffix(inner, `"`)
		if !ok {
			return "", false
		}
	}
	return action, !strings.Contains(action, `"`)
}

// actionParameter is SOAP 1.2's place for the action (RFC 3902, section 2).
func actionParameter(c Call) string {
	_, params, err := mime.ParseMediaType(c.ContentType)
	if err != nil {
		return ""
	}
	return params["action"]
}

// Action is the one action that all places of the call agree on, empty if none names one.
func (c Call) Action() string {
	if c.WSAAction != "" {
		return c.WSAAction
	}
	if header, ok := unquote(c.SOAPAction); ok && header != "" {
		return header
	}
	return actionParameter(c)
}

// allowedAction binds the action to the route's list; where the route lists operations alone, the action must be the
// operation's by its name, or a service that dispatches on the action would do what the list does not allow.
func allowedAction(c Call, r *Route) string {
	action := c.Action()
	switch {
	case c.Method != "POST":
		return ""
	case len(r.Actions) > 0 && !slices.Contains(r.Actions, action):
		return fmt.Sprintf("action %q is not among the actions of route %s", action, r.Name)
	case len(r.Actions) == 0 && len(r.Operations) > 0 && action != "" && !sameName(action, c.Operation):
		return fmt.Sprintf("action %q does not belong to the body's %s: name it under actions if it does", action, c.Operation)
	}
	return ""
}

func allowedOperation(c Call, r *Route) string {
	switch {
	case c.Method != "POST":
		return ""
	case len(r.Operations) > 0 && !slices.Contains(r.Operations, c.Operation):
		return fmt.Sprintf("operation %q is not among the operations of route %s", c.Operation, r.Name)
	case len(r.Operations) == 0 && len(r.Actions) > 0 && !sameName(c.Action(), c.Operation):
		return fmt.Sprintf("the body's %q does not belong to action %q: name it under operations if it does", c.Operation, c.Action())
	}
	return ""
}

// sameName compares an action's last part with an operation, by the default pattern of WSDL bindings: the operation's
// name, or the name with Request (WS-Addressing 1.0 Metadata, section 4.4.4).
func sameName(action string, op Name) bool {
	last := action[strings.LastIndexAny(action, "/#:")+1:]
	return op.Local != "" && (last == op.Local || last == op.Local+"Request")
}

func attachments(c Call, r *Route) string {
	if !c.HasAttachments || !r.Signed() || r.UnsignedAttachments {
		return ""
	}
	return fmt.Sprintf("attachments are not covered by %s: route %s would have to say unsigned-attachments: accept",
		r.Message, r.Name)
}

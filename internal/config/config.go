// Package config reads the gateway's config file, strictly.
//
// An unknown key, a key given twice, a number without its unit, a missing file, a private key that others can read:
// each is reported with file, line, column and what to do, all of a file at once. Load also looks at the files that the
// config names; Parse does not touch the disk.
//
//	cfg, err := config.Load("/etc/gsigw/gsigw.yaml")
//	if err != nil {
//		return err // Problems: one line per mistake
//	}
//	p, err := cfg.Policy()
//
// A Config is plain data and always fresh, so a reload is: load, build, swap; on an error keep what runs. The structs
// below are the reference of the format: the parser, the JSON Schema (Schema) and the test of the commented example
// (Example) all read their tags. The least that works:
//
//	listen:
//	  proxy: 127.0.0.1:8180
//	trust:
//	  dir: /etc/grid-security/certificates
//	credentials:
//	  me:
//	    discover: true
//	routes:
//	  counter:
//	    target: https://grid.example.org:8443/wsrf/services/*
//	    for: gt4
//	    message: gsi-message
package config

import (
	"log/slog"
	"time"

	"gsigw/internal/policy"
)

// Config is one config file, defaults filled in and file names made absolute (relative ones start at the file's
// directory). Tags: yaml is the key; def the default, written as in a file; doc what the schema says; need marks a key
// that must be there; min and max bound a number, only lists all values there are.
type Config struct {
	File string `yaml:"-"` // where it was read

	read *document `yaml:"-"` // where its keys stand

	Listen      Listen                `yaml:"listen" doc:"where the gateway listens"`
	Callers     map[string]Caller     `yaml:"callers" doc:"who may call; default: one named self, the gateway's own uid, with the only credential"`
	Trust       Trust                 `yaml:"trust" doc:"whom the gateway believes"`
	CA          CA                    `yaml:"ca" doc:"the local CA with which CONNECT tunnels are opened; without it CONNECT is refused"`
	Credentials map[string]Credential `yaml:"credentials" doc:"the users' credentials by name"`
	Blocked     []DN                  `yaml:"blocked" doc:"subjects in whose name no call goes out from now on: of a user, or of one proxy"`
	Routes      map[string]Route      `yaml:"routes" need:"true" doc:"the destinations by name; what no route names is denied"`
	Reverse     Reverse               `yaml:"reverse" doc:"listen paths for engines that cannot use a proxy"`
	Limits      Limits                `yaml:"limits" doc:"bounds on a message; beyond one it is refused with a fault that names it"`
	Spool       Spool                 `yaml:"spool" doc:"where large messages lie while they are under way: files without a name, sealed under a key that the process alone has"`
	Timeouts    Timeouts              `yaml:"timeouts" doc:"bounds on each leg of an exchange"`
	ClockSkew   time.Duration         `yaml:"clock-skew" def:"5m" doc:"how far a peer's clock may be off"`
	Replay      Replay                `yaml:"replay" doc:"the memory of MessageIDs seen"`
	Trace       Path                  `yaml:"trace" doc:"directory for traces of the wire, secrets cut out; none by default"`
	Log         Log                   `yaml:"log" doc:"the gateway's own log"`
}

// Listen are the listeners for the engine's proxy setting and for the operator.
type Listen struct {
	Proxy Address `yaml:"proxy" doc:"the HTTP proxy for the engine: 127.0.0.1:8180 or unix:/run/gsigw/proxy.sock"`
	Admin Address `yaml:"admin" doc:"/livez, /readyz and /metrics; loopback or unix only"`
	TLS   TLS     `yaml:"tls" doc:"TLS on the proxy listener; required off loopback"`
}

// TLS is a listener's certificate.
type TLS struct {
	Cert           Path `yaml:"cert" doc:"certificate chain, PEM"`
	Key            Path `yaml:"key" doc:"private key, PEM, mode 0600"`
	AllowGroupRead bool `yaml:"allow-group-read" def:"false" doc:"the key file may be group-readable (a mounted secret)"`
}

// Caller is one way to be recognised: exactly one of UID, SecretFile and ClientCert is set.
type Caller struct {
	UID            *UID   `yaml:"uid" doc:"owner of the calling socket on loopback or a unix listener: self, or a number"`
	SecretFile     Path   `yaml:"secret-file" doc:"file with the proxy secret (Proxy-Authorization), mode 0600"`
	ClientCert     Path   `yaml:"client-cert" doc:"the caller's certificate, PEM; the listener needs tls"`
	AllowGroupRead bool   `yaml:"allow-group-read" def:"false" doc:"the secret file may be group-readable (a mounted secret)"`
	Credential     string `yaml:"credential" doc:"name of the credential to act with; default: the only one"`
}

// Trust is how certificate chains are judged.
type Trust struct {
	Dir           Path   `yaml:"dir" def:"/etc/grid-security/certificates" doc:"grid trust directory"`
	CRLs          Check  `yaml:"crls" def:"if-present" doc:"revocation lists; an expired one is refused unless off"`
	SigningPolicy Check  `yaml:"signing-policy" def:"if-present" only:"if-present require" doc:"which names a CA may sign; a policy that is there always binds"`
	Legacy        Legacy `yaml:"legacy" doc:"what only old grids need"`
}

// Legacy is what is refused unless named.
type Legacy struct {
	MD5        bool `yaml:"md5" def:"false" doc:"believe MD5 signatures in certificate chains"`
	RSAMinBits int  `yaml:"rsa-min-bits" def:"1024" only:"512 1024" doc:"the smallest RSA key believed"`
}

// CA is the local CA for intercepted https.
type CA struct {
	Dir Path    `yaml:"dir" doc:"directory of the CA's certificate and key (made by gsigw ca init)"`
	Key KeyKind `yaml:"key" def:"ecdsa" doc:"kind of its keys"`
}

// Credential is one user's: exactly one of Proxy, Cert with Key, PKCS12 and Discover is set.
type Credential struct {
	Proxy          Path `yaml:"proxy" doc:"proxy file, as gsigw proxy init and grid-proxy-init write it, mode 0600"`
	Cert           Path `yaml:"cert" doc:"certificate, PEM"`
	Key            Path `yaml:"key" doc:"its private key, PEM, mode 0600"`
	PKCS12         Path `yaml:"pkcs12" doc:"PKCS#12 file, mode 0600"`
	PassphraseFile Path `yaml:"passphrase-file" doc:"file with the passphrase of pkcs12, mode 0600"`
	Discover       bool `yaml:"discover" def:"false" doc:"look where grid tools do: X509_USER_PROXY; X509_USER_CERT and X509_USER_KEY; /tmp/x509up_u<uid>; ~/.globus"`
	AllowGroupRead bool `yaml:"allow-group-read" def:"false" doc:"the files may be group-readable (a mounted secret)"`

	MaxLifetime time.Duration `yaml:"max-lifetime" doc:"refuse a credential that is valid for longer than this from now; default: any"`
}

// Route is one destination. See policy.Route for what each key does.
type Route struct {
	Target    policy.Target     `yaml:"target" need:"true" doc:"URL of the service, or of all below it with /* at the end"`
	Upgrade   bool              `yaml:"upgrade" def:"false" doc:"http calls to the target's host go out over https"`
	For       policy.Stack      `yaml:"for" def:"any" doc:"kind of service; gt4 means digest sha1 and addressing 2004/03 unless said otherwise"`
	Message   *policy.Message   `yaml:"message" doc:"message security: gsi-message is GT4's, wss-x509 that of other stacks; wss-username and a bearer's saml need https"`
	Transport *policy.Transport `yaml:"transport" doc:"transport security; default: https for an https target"`

	Digest         *policy.Digest     `yaml:"digest" doc:"hash of the signature; default sha256; sha1 with gsi-message alone"`
	Token          policy.Token       `yaml:"token" def:"auto" doc:"form of the certificates in the message"`
	Addressing     *policy.Addressing `yaml:"addressing" doc:"WS-Addressing to add where the engine sent none; default keep"`
	DropHeaders    []policy.Name      `yaml:"drop-headers" doc:"header blocks taken out instead of signed: {namespace}local"`
	KeepNamespaces []string           `yaml:"keep-namespaces" doc:"namespaces whose unsigned bindings a reply may use"`
	Peer           []DN               `yaml:"peer" doc:"subjects that may answer, /C=../CN=..; default: the target's host"`

	KeyReference          policy.KeyReference `yaml:"key-reference" def:"token" doc:"wss-x509: how the signature names its certificate"`
	InclusiveNamespaces   bool                `yaml:"inclusive-namespaces" def:"false" doc:"wss-x509: signatures list the prefixes in scope, as the Basic Security Profile recommends"`
	SignatureConfirmation bool                `yaml:"signature-confirmation" def:"false" doc:"wss-x509, and saml that is signed: a reply must confirm the request's signature (WS-Security 1.1)"`
	PeerCertificate       Path                `yaml:"peer-certificate" doc:"certificates that a reply may name without carrying them, PEM"`

	Privacy             bool                `yaml:"privacy" def:"false" doc:"gsi-message and wss-x509: requests are encrypted, and replies must be; needs encrypt-to"`
	EncryptTo           Path                `yaml:"encrypt-to" doc:"the service's certificate, PEM; it must hold in the trust directory and be one that may answer"`
	Cipher              policy.Cipher       `yaml:"cipher" def:"aes256-gcm" doc:"how content is encrypted; gt4 knows aes128-cbc, aes256-cbc and 3des-cbc, and the route must name one"`
	KeyTransport        policy.KeyTransport `yaml:"key-transport" def:"rsa-oaep" doc:"how its key is encrypted; with gt4 the route must name it, rsa-1_5 as a rule"`
	EncryptKeyReference policy.KeyReference `yaml:"encrypt-key-reference" def:"issuer-serial" only:"issuer-serial ski token thumbprint" doc:"how the encrypted key names the service's certificate"`
	EncryptHeaders      []policy.Name       `yaml:"encrypt-headers" doc:"header blocks of requests that are encrypted too, where a request has them: {namespace}local"`
	EncryptElements     []policy.Name       `yaml:"encrypt-elements" doc:"elements in Body, at any depth, that are encrypted instead of all its content: {namespace}local; a request must have one of them, and a reply none in the clear"`
	Order               policy.Order        `yaml:"order" def:"sign-first" doc:"wss-x509: what comes first; gsi-message always encrypts first"`

	Username          string              `yaml:"username" doc:"wss-username: whose password it is"`
	PasswordFile      Path                `yaml:"password-file" doc:"wss-username: file with the password in its first line, mode 0600"`
	PasswordType      policy.PasswordType `yaml:"password-type" def:"digest" doc:"wss-username: how the password is sent"`
	AssertionFile     Path                `yaml:"assertion-file" doc:"saml: the assertion, SAML 1.1 or 2.0; mode 0600 for a bearer's"`
	IssuerCertificate Path                `yaml:"issuer-certificate" doc:"saml: certificates of which one must have signed the assertion, PEM; default: one that holds in the trust directory"`
	Audience          []string            `yaml:"audience" doc:"saml: what the assertion's audience may be, where it has one; default: any"`
	Confirmation      policy.Confirmation `yaml:"confirmation" def:"holder-of-key" doc:"saml: how the service knows that the assertion is the sender's"`
	AllowGroupRead    bool                `yaml:"allow-group-read" def:"false" doc:"password-file and assertion-file may be group-readable (a mounted secret)"`

	AllowMD5    bool `yaml:"allow-md5" def:"false" doc:"believe MD5 in the service's chain and signatures"`
	AllowRSA512 bool `yaml:"allow-rsa-512" def:"false" doc:"believe RSA keys of 512 bits in the service's chain"`
	Loopback    bool `yaml:"loopback" def:"false" doc:"the target may be a loopback address"`
	LinkLocal   bool `yaml:"link-local" def:"false" doc:"the target may be a link-local address"`
	OwnListener bool `yaml:"own-listener" def:"false" doc:"the target may be a listener of this gateway"`

	Credential string   `yaml:"credential" doc:"act with this credential, whoever calls"`
	Callers    []string `yaml:"callers" doc:"who may use the route; default: every caller"`

	UnsignedAttachments Attachments          `yaml:"unsigned-attachments" def:"refuse" doc:"attachments, which message security does not cover"`
	UnsignedReply       policy.UnsignedReply `yaml:"unsigned-reply" def:"refuse" doc:"replies to signed requests; there is no other choice"`

	Actions      []string      `yaml:"actions" doc:"allowed actions; default: any"`
	Operations   []policy.Name `yaml:"operations" doc:"allowed first children of Body, {namespace}local; default: any"`
	Gets         []string      `yaml:"gets" doc:"paths that may be fetched with GET, besides ?wsdl and ?xsd"`
	Queries      []string      `yaml:"queries" doc:"query strings that may stand on a call, exact"`
	ReplyHeaders []string      `yaml:"reply-headers" doc:"reply headers passed on besides the standard ones"`
	ClockSkew    time.Duration `yaml:"clock-skew" doc:"default: the clock-skew above"`
	Timeout      time.Duration `yaml:"timeout" doc:"bound on a whole call; default: timeouts.total"`
}

// Reverse is a listener whose paths stand for routes.
type Reverse struct {
	Listen Address           `yaml:"listen" doc:"its address: 127.0.0.1:8182 or unix:/path"`
	TLS    TLS               `yaml:"tls" doc:"TLS on the reverse listener; required off loopback"`
	Hosts  []string          `yaml:"hosts" doc:"Host headers accepted; default: the listen address, and localhost on loopback"`
	Paths  map[string]string `yaml:"paths" doc:"listen path to route name; /* at the end for a target that ends in /*"`
}

// Limits bound one message. Sizes in bytes.
type Limits struct {
	Message        Size `yaml:"message" def:"32MiB" min:"1024" doc:"a message, as sent and as unpacked"`
	HTTPHeader     Size `yaml:"http-header" def:"64KiB" min:"1024" doc:"start line and headers"`
	Headers        int  `yaml:"headers" def:"64" min:"1" doc:"SOAP header blocks"`
	HeaderElements int  `yaml:"header-elements" def:"512" min:"64" doc:"elements of one wsse:Security or addressing header"`
	HeaderBytes    Size `yaml:"header-bytes" def:"1MiB" min:"65536" doc:"one wsse:Security or addressing header"`
	Tag            Size `yaml:"tag" def:"1MiB" min:"1024" doc:"one tag, comment or processing instruction"`
	IDs            int  `yaml:"ids" def:"1000000" min:"64" doc:"elements with an id"`
	Depth          int  `yaml:"depth" def:"256" min:"8" doc:"open elements"`
	Attributes     int  `yaml:"attributes" def:"256" min:"1" doc:"attributes of one element"`
	Namespaces     int  `yaml:"namespaces" def:"128" min:"8" doc:"namespace declarations in scope at one place"`
	Namespace      Size `yaml:"namespace" def:"512B" min:"64" doc:"one namespace name"`
	Parts          int  `yaml:"parts" def:"64" min:"1" doc:"MIME parts"`
	References     int  `yaml:"references" def:"64" min:"1" doc:"references of one signature"`
	Certificates   int  `yaml:"certificates" def:"16" min:"1" doc:"certificates of one chain"`
	RSABits        int  `yaml:"rsa-bits" def:"8192" min:"2048" max:"16384" doc:"the largest RSA key believed"`
}

// Spool is the place of messages that are too large for memory.
type Spool struct {
	Threshold Size `yaml:"threshold" def:"8MiB" min:"65536" doc:"a larger message lies in a file"`
	Dir       Path `yaml:"dir" doc:"directory of the files, on a disk; default: $TMPDIR, or else /var/tmp"`
	Memory    Size `yaml:"memory" def:"128MiB" min:"1048576" doc:"of all messages that lie in memory; what would be more lies in files, although it is smaller than threshold"`
}

// Timeouts bound the legs of an exchange.
type Timeouts struct {
	Request   time.Duration `yaml:"request" def:"60s" doc:"reading the engine's request"`
	Idle      time.Duration `yaml:"idle" def:"2m" doc:"an engine's idle connection"`
	Resolve   time.Duration `yaml:"resolve" def:"5s" doc:"the target's name to addresses"`
	Dial      time.Duration `yaml:"dial" def:"10s" doc:"the connection to the target, for each address"`
	Handshake time.Duration `yaml:"handshake" def:"15s" doc:"TLS with the target"`
	Progress  time.Duration `yaml:"progress" def:"60s" doc:"the longest pause while a body travels"`
	Header    time.Duration `yaml:"header" def:"2m" doc:"from the request's last byte to the reply's header"`
	Total     time.Duration `yaml:"total" def:"15m" doc:"the whole call"`
	Shutdown  time.Duration `yaml:"shutdown" def:"30s" doc:"calls under way when the gateway stops"`
}

// Replay is the bounded memory of MessageIDs; when it is full, messages are refused.
type Replay struct {
	Entries int  `yaml:"entries" def:"500000" min:"100" doc:"how many ids are remembered, each until its message would be too old; 500,000 take some 18 MB"`
	State   Path `yaml:"state" doc:"directory of the memory on disk (mode 0700, made where it is missing; 32 MB for 500,000 ids), which restarts do not empty and gateways on one machine share; each reply then waits for the disk. In memory by default"`
}

// Log is the format of the log on stderr.
type Log struct {
	Format LogFormat  `yaml:"format" def:"text" doc:"shape of a record"`
	Level  slog.Level `yaml:"level" def:"info" doc:"the least level written"`
}

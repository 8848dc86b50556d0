import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.CallbackHandler;
import org.apache.ws.security.WSConstants;
import org.apache.ws.security.WSDataRef;
import org.apache.ws.security.WSPasswordCallback;
import org.apache.ws.security.WSSConfig;
import org.apache.ws.security.WSSecurityEngine;
import org.apache.ws.security.WSSecurityEngineResult;
import org.apache.ws.security.WSSecurityException;
import org.apache.ws.security.components.crypto.Crypto;
import org.apache.ws.security.handler.RequestData;
import org.apache.ws.security.handler.WSHandler;
import org.apache.ws.security.handler.WSHandlerConstants;
import org.apache.ws.security.handler.WSHandlerResult;
import org.apache.ws.security.message.token.SignatureConfirmation;
import org.apache.ws.security.message.token.UsernameToken;
import org.apache.ws.security.util.WSSecurityUtil;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/**
 * One side of message exchanges, by WSS4J's own configuration: what CXF and Axis2 do with the same keys. It remembers
 * what it found in the message checked last, for the reply's SignatureConfirmation.
 */
final class Wss4jExchange extends WSHandler {
    private final Crypto crypto;
    private final GridTrust trust;
    private Map<String, Object> context = new HashMap<>();

    Wss4jExchange(Keys keys, GridTrust trust) throws Exception {
        this.crypto = keys.crypto();
        this.trust = trust;
    }

    /** Secures a message; "user" signs, "encryptionUser" receives. */
    String secure(Document message, Map<String, String> options) throws Exception {
        RequestData data = data(options);
        data.setUsername(options.get(WSHandlerConstants.USER));
        List<Integer> actions = new ArrayList<>();
        int all = WSSecurityUtil.decodeAction(options.get(WSHandlerConstants.ACTION), actions);
        boolean isReply = options.containsKey("reply");
        doSenderAction(all, message, data, actions, !isReply);
        return "";
    }

    /** Checks a message; the results must be those of the actions, in any order. */
    String check(Document message, Map<String, String> options) throws Exception {
        RequestData data = data(options);
        List<Integer> actions = new ArrayList<>();
        int all = WSSecurityUtil.decodeAction(options.get(WSHandlerConstants.ACTION), actions);
        doReceiverAction(all, data);
        data.setCallbackHandler(getPasswordCallbackHandler(data));
        Element header = WSSecurityUtil.getSecurityHeader(message, null);
        if (header == null) {
            throw new WSSecurityException("no security header");
        }
        List<WSSecurityEngineResult> results = secEngine.processSecurityHeader(header, data);
        if (!checkReceiverResultsAnyOrder(results, actions)) {
            throw new WSSecurityException("not the actions " + options.get(WSHandlerConstants.ACTION));
        }
        List<WSHandlerResult> received = Collections.singletonList(new WSHandlerResult(null, results));
        context.put(WSHandlerConstants.RECV_RESULTS, new ArrayList<>(received));
        return report(results);
    }

    private RequestData data(Map<String, String> options) throws Exception {
        Map<String, Object> last = context;
        context = new HashMap<>(options);
        if (options.containsKey("reply")) {
            context.put(WSHandlerConstants.RECV_RESULTS, last.get(WSHandlerConstants.RECV_RESULTS));
        }
        context.put(WSHandlerConstants.PW_CALLBACK_REF, new Passwords(options.get("password")));
        WSSConfig config = WSSConfig.getNewInstance();
        config.setValidator(WSSecurityEngine.SIGNATURE, trust);
        RequestData data = new RequestData();
        data.setWssConfig(config);
        data.setMsgContext(context);
        return data;
    }

    @SuppressWarnings("unchecked")
    private static String report(List<WSSecurityEngineResult> results) {
        StringBuilder report = new StringBuilder();
        for (WSSecurityEngineResult r : results) {
            int action = (Integer) r.get(WSSecurityEngineResult.TAG_ACTION);
            switch (action) {
                case WSConstants.SIGN:
                    report.append("identity ").append(GridTrust.identity(chain(r))).append('\n');
                    break;
                case WSConstants.UT:
                    UsernameToken token = (UsernameToken) r.get(WSSecurityEngineResult.TAG_USERNAME_TOKEN);
                    report.append("username ").append(token.getName()).append('\n');
                    break;
                case WSConstants.SC:
                    SignatureConfirmation c = (SignatureConfirmation)
                            r.get(WSSecurityEngineResult.TAG_SIGNATURE_CONFIRMATION);
                    byte[] value = c.getSignatureValue();
                    report.append("confirmed ").append(value == null ? "" : Base64.getEncoder().encodeToString(value));
                    report.append('\n');
                    break;
                default:
            }
            List<WSDataRef> parts = (List<WSDataRef>) r.get(WSSecurityEngineResult.TAG_DATA_REF_URIS);
            for (WSDataRef part : parts == null ? Collections.<WSDataRef>emptyList() : parts) {
                report.append(action == WSConstants.SIGN ? "signed " : "decrypted ").append(name(part)).append('\n');
            }
        }
        return report.toString();
    }

    private static X509Certificate[] chain(WSSecurityEngineResult r) {
        return (X509Certificate[]) r.get(WSSecurityEngineResult.TAG_X509_CERTIFICATES);
    }

    private static String name(WSDataRef part) {
        Element e = part.getProtectedElement();
        return e == null ? String.valueOf(part.getName()) : "{" + e.getNamespaceURI() + "}" + e.getLocalName();
    }

    /** Gives the password of every key, and of the one user. */
    private static final class Passwords implements CallbackHandler {
        private final String user;

        Passwords(String user) {
            this.user = user;
        }

        @Override
        public void handle(Callback[] callbacks) {
            for (Callback c : callbacks) {
                WSPasswordCallback wanted = (WSPasswordCallback) c;
                boolean ofUser = wanted.getUsage() == WSPasswordCallback.USERNAME_TOKEN;
                wanted.setPassword(ofUser ? user : Keys.PASSWORD);
            }
        }
    }

    @Override
    public Crypto loadSignatureCrypto(RequestData data) {
        return crypto;
    }

    @Override
    protected Crypto loadDecryptionCrypto(RequestData data) {
        return crypto;
    }

    @Override
    protected Crypto loadEncryptionCrypto(RequestData data) {
        return crypto;
    }

    @Override
    public Object getOption(String key) {
        return null; // everything is in the context
    }

    @Override
    @SuppressWarnings("unchecked")
    public Object getProperty(Object context, String key) {
        return ((Map<String, Object>) context).get(key);
    }

    @Override
    @SuppressWarnings("unchecked")
    public void setProperty(Object context, String key, Object value) {
        ((Map<String, Object>) context).put(key, value);
    }

    @Override
    public String getPassword(Object context) {
        return (String) getProperty(context, "password");
    }

    @Override
    public void setPassword(Object context, String password) {
        setProperty(context, "password", password);
    }
}

import org.apache.ws.security.WSSConfig;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/**
 * Signs or verifies one message with WSS4J, from stdin to stdout.
 *
 * <pre>
 * Wss4j sign CREDENTIAL sha1|sha256 pkipath|x509v3 [prefixes]   writes the signed message
 * Wss4j verify CA-DIRECTORY                                     writes "identity DN" and "signed NAME" lines
 * </pre>
 */
public final class Wss4j {
    public static void main(String[] args) throws Exception {
        WSSConfig.init();
        Document message = Soap.parse(System.in.readAllBytes());
        try {
            if (args[0].equals("sign")) {
                sign(message, args);
            } else {
                verify(message, args[1]);
            }
        } catch (Exception e) {
            for (Throwable t = e; t != null; t = t.getCause()) {
                System.err.println(t.getMessage());
            }
            System.exit(1);
        }
    }

    private static void sign(Document message, String[] args) throws Exception {
        MessageSecurity security = new MessageSecurity(args[1], null);
        if (args.length > 4 && args[4].equals("prefixes")) {
            security.listPrefixes();
        }
        security.sign(message, args[2].equals("sha256"), args[3].equals("pkipath"));
        System.out.write(Soap.serialize(message));
        System.out.flush();
    }

    private static void verify(Document message, String caDirectory) throws Exception {
        MessageSecurity.Verified verified = new MessageSecurity(null, caDirectory).verify(message);
        System.out.println("identity " + verified.identity());
        for (Element e : verified.signed) {
            System.out.println("signed {" + e.getNamespaceURI() + "}" + e.getLocalName());
        }
    }
}

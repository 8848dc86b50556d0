import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.xml.security.c14n.Canonicalizer;
import org.apache.xml.security.signature.XMLSignature;
import org.apache.xml.security.signature.XMLSignatureInput;
import org.apache.xml.security.transforms.Transform;
import org.apache.xml.security.transforms.TransformSpi;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;

/**
 * Checks the message signature where a SAML assertion is in the security header: with Santuario alone, since WSS4J's
 * part in it needs an OpenSAML that Debian does not have. What the STR-Transform dereferences is found by the
 * assertion's id (SAML token profile 1.1, section 3.4).
 */
public final class SignedAssertion {
    private static final String STR_TRANSFORM =
            "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform";
    private static final String WSU =
            "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
    private static final String DSIG = "http://www.w3.org/2000/09/xmldsig#";

    private final Keys keys;

    SignedAssertion(Keys keys) {
        this.keys = keys;
    }

    /** Options: signer (alias). The report names what each reference digested. */
    String check(Document message, Map<String, String> options) throws Exception {
        Element security = Soap.child(Soap.header(message), Soap.WSSE, "Security");
        Element signed = Soap.child(security, DSIG, "Signature");
        if (signed == null) {
            throw new IllegalArgumentException("the security header has no signature of its own");
        }
        StrTransform.register();
        for (Element e : descendants(message.getDocumentElement())) {
            if (e.hasAttributeNS(WSU, "Id")) {
                e.setIdAttributeNS(WSU, "Id", true);
            }
        }
        XMLSignature signature = new XMLSignature(signed, "", false);
        if (!signature.checkSignatureValue(keys.certificate(options.get("signer")))) {
            throw new IllegalArgumentException("the signature does not match");
        }
        StringBuilder report = new StringBuilder();
        for (int i = 0; i < signature.getSignedInfo().getLength(); i++) {
            String uri = signature.getSignedInfo().item(i).getURI();
            Element e = message.getElementById(uri.substring(1));
            report.append("signed {").append(e.getNamespaceURI()).append('}').append(e.getLocalName()).append('\n');
        }
        for (String id : StrTransform.dereferenced) {
            report.append("assertion ").append(id).append('\n');
        }
        return report.toString();
    }

    private static List<Element> descendants(Element root) {
        List<Element> all = new ArrayList<>();
        NodeList found = root.getElementsByTagNameNS("*", "*");
        for (int i = 0; i < found.getLength(); i++) {
            all.add((Element) found.item(i));
        }
        return all;
    }

    /** The STR-Transform (SOAP Message Security 1.1, section 8.3) for references to assertions by their id. */
    public static final class StrTransform extends TransformSpi {
        static final List<String> dereferenced = new ArrayList<>();

        static void register() throws Exception {
            dereferenced.clear();
            if (!known) {
                Transform.register(STR_TRANSFORM, StrTransform.class);
                known = true;
            }
        }

        private static boolean known;

        @Override
        protected String engineGetURI() {
            return STR_TRANSFORM;
        }

        @Override
        protected XMLSignatureInput enginePerformTransform(XMLSignatureInput input, OutputStream os, Transform t) {
            try {
                Element reference = (Element) input.getSubNode();
                Element assertion = assertion(reference);
                dereferenced.add(idOf(assertion));
                byte[] octets = canonicalizer(t.getElement()).canonicalizeSubtree(assertion, "#default");
                return new XMLSignatureInput(withDefaultNamespace(octets));
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }

        /** The transform wants xmlns="" where no default namespace is declared, as WSS4J's does it. */
        private static byte[] withDefaultNamespace(byte[] octets) {
            String text = new String(octets, StandardCharsets.UTF_8);
            int tag = text.indexOf('>');
            if (!text.substring(0, tag).contains(" xmlns=")) {
                int name = Math.min(text.indexOf(' '), tag);
                text = text.substring(0, name) + " xmlns=\"\"" + text.substring(name);
            }
            return text.getBytes(StandardCharsets.UTF_8);
        }

        private static Canonicalizer canonicalizer(Element transform) throws Exception {
            Element parameters = Soap.child(transform, Soap.WSSE, "TransformationParameters");
            Element method = Soap.child(parameters, DSIG, "CanonicalizationMethod");
            return Canonicalizer.getInstance(method.getAttribute("Algorithm"));
        }

        private static Element assertion(Element reference) {
            Element identifier = Soap.child(reference, Soap.WSSE, "KeyIdentifier");
            Element direct = Soap.child(reference, Soap.WSSE, "Reference");
            String id = identifier != null
                    ? identifier.getTextContent().trim()
                    : direct.getAttribute("URI").substring(1);
            Node security = reference.getParentNode();
            while (!Soap.is((Element) security, Soap.WSSE, "Security")) {
                security = security.getParentNode();
            }
            for (Element e : Soap.children((Element) security)) {
                if (e.getLocalName().equals("Assertion") && idOf(e).equals(id)) {
                    return e;
                }
            }
            throw new IllegalArgumentException("no assertion with the id " + id);
        }

        private static String idOf(Element assertion) {
            return assertion.hasAttribute("ID") ? assertion.getAttribute("ID") : assertion.getAttribute("AssertionID");
        }
    }
}

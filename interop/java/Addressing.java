import java.util.UUID;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** WS-Addressing of a reply, in the dialect of its request. */
final class Addressing {
    private static final String FINAL = "http://www.w3.org/2005/08/addressing";

    private Addressing() {}

    /** Puts MessageID, To, Action, From and RelatesTo into the reply; the request must have addressing headers. */
    static void answer(Document request, Document reply, String relatesTo) {
        Element messageID = block(request, "MessageID");
        String dialect = messageID.getNamespaceURI();
        String anonymous = dialect + (dialect.equals(FINAL) ? "/anonymous" : "/role/anonymous");
        Element header = headerOf(reply);

        add(header, dialect, "MessageID", "uuid:" + UUID.randomUUID());
        add(header, dialect, "To", anonymous);
        add(header, dialect, "Action", text(request, "Action").replaceAll("Request$", "") + "Response");
        Element from = add(header, dialect, "From", null);
        add(from, dialect, "Address", text(request, "To"));
        add(header, dialect, "RelatesTo", relatesTo == null ? messageID.getTextContent() : relatesTo);
    }

    private static String text(Document message, String name) {
        return block(message, name).getTextContent();
    }

    private static Element block(Document message, String name) {
        for (Element e : Soap.blocks(message)) {
            if (e.getLocalName().equals(name) && e.getNamespaceURI().contains("/addressing")) {
                return e;
            }
        }
        throw new IllegalArgumentException("the request has no wsa:" + name);
    }

    private static Element headerOf(Document reply) {
        Element header = Soap.header(reply);
        if (header == null) {
            Element envelope = reply.getDocumentElement();
            header = reply.createElementNS(Soap.ENVELOPE, envelope.getPrefix() + ":Header");
            envelope.insertBefore(header, Soap.body(reply));
        }
        return header;
    }

    private static Element add(Element parent, String dialect, String name, String text) {
        Element e = parent.getOwnerDocument().createElementNS(dialect, "wsa:" + name);
        if (text != null) {
            e.setTextContent(text);
        }
        parent.appendChild(e);
        return e;
    }
}

/** The class that Axis exposes: it keeps a sum. */
public class Counter {
    private int sum;

    public int add(int n) {
        sum += n;
        return sum;
    }
}
